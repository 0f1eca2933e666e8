%1 = stablehlo.dot_general %0, %c, contracting_dims = [1] x [0], precision = [HIGHEST, HIGHEST] : (tensor<8x32xf32>, tensor<32x4xf32>) -> tensor<8x4xf32>
%2 = stablehlo.dot_general %1, %d, contracting_dims = [1] x [0] : (tensor<8x4xbf16>, tensor<4x4xbf16>) -> tensor<8x4xf32>
%3 = stablehlo.convolution(%1, %k) dim_numbers = [b, 0, f]x[0, i, o]->[b, 0, f], window = {stride = [2]} {precision_config = [#stablehlo<precision DEFAULT>]} : (tensor<2x8x4xbf16>, tensor<3x4x4xbf16>) -> tensor<2x3x4xbf16>
