"""What the servers publish about each archive: bytes and md5, as plain tables.

MIMII and MIMII DUE from their Zenodo records (3384388, 4740355); DCASE 2020 and 2023 have md5 only.
The hash of any other archive is read from its record when it is fetched.
"""

# name: (bytes, md5)
MIMII: dict[str, tuple[int, str]] = {
    "-6_dB_fan.zip": (10_878_096_548, "f02ae808a58d84b6815b7ec38ff30879"),
    "-6_dB_pump.zip": (8_236_951_723, "d20b783a0ff9c93d58f452f98c37b112"),
    "-6_dB_slider.zip": (7_951_254_230, "49913eda7d37f182cbf8ed5c984140e0"),
    "-6_dB_valve.zip": (8_037_536_346, "fdfaf185fea61b21e11952a070a4ada7"),
    "0_dB_fan.zip": (10_411_902_283, "6354d1cc2165c52168f9ef1bcd9c7c52"),
    "0_dB_pump.zip": (7_869_431_302, "488748295c3f60b25de07b58fe75b049"),
    "0_dB_slider.zip": (7_508_958_315, "4d674c21474f0646ecd75546db6c0c4e"),
    "0_dB_valve.zip": (7_486_536_802, "178478eb0d11c79080a35562bfdeee71"),
    "6_dB_fan.zip": (10_158_673_161, "0890f7d3c2fd8448634e69ff1d66dd47"),
    "6_dB_pump.zip": (7_659_077_508, "a09ba6060c10fc09cd4c8770213b0b9f"),
    "6_dB_slider.zip": (7_129_464_289, "838c2b3441858359c4704ef13a1b27ff"),
    "6_dB_valve.zip": (6_915_951_837, "fe5fb7c337cd701b1d31dc641e621892"),
}
MIMII_DUE: dict[str, tuple[int, str]] = {
    "dev_data_fan.zip": (1_072_486_301, "2fd8c081d1adf559372763f204fd154f"),
    "dev_data_gearbox.zip": (1_200_236_895, "16a22870056194a1da6ace2f1f5b42b5"),
    "dev_data_pump.zip": (1_077_021_452, "8c7090f0974336404070315a1e1445f4"),
    "dev_data_slider.zip": (1_086_886_830, "788d8942aae1f8da4e851d16946b05ab"),
    "dev_data_valve.zip": (1_070_937_861, "bc456bef6bc28decc1f9e74ca11480c3"),
    "eval_data_fan_train.zip": (759_752_515, "57afe982988072fa2c96faefd5516a73"),
    "eval_data_gearbox_train.zip": (847_594_100, "a3ce10fd1d8a7ce668dd0171ddf3d21f"),
    "eval_data_pump_train.zip": (762_916_640, "a1fad9e61ba0d1fde48aefd02aa2c1fa"),
    "eval_data_slider_train.zip": (791_961_571, "3b1ff6887aceb50d51f901704dc63e33"),
    "eval_data_valve_train.zip": (758_251_874, "ddf7513b752946acd07c75ad8fce7dc4"),
}

# name: md5
MD5: dict[str, dict[str, str]] = {
    "dcase2020": {
        "dev_data_fan.zip": "649bdfc06263ae7a838963f43b6641e6",
        "dev_data_pump.zip": "90e7091ef722b7238a7f1009365779cd",
        "dev_data_slider.zip": "da24a757719f0d94d5aa2d646bbfdc86",
        "dev_data_valve.zip": "34d2672f55bb041589ef79c10dc89934",
        "dev_data_ToyCar.zip": "4dec75ca8d9f666aa9e4c1894a740501",
        "dev_data_ToyConveyor.zip": "03b6aa1bfd09a39d53af0ba39f71fa91",
        "eval_data_train_fan.zip": "567798854130c8019df8b664c095ed1e",
        "eval_data_train_pump.zip": "4e33ae9c0db5cc88437675f5e317caee",
        "eval_data_train_slider.zip": "f84f186f4295fc23754abcdd1b0580a7",
        "eval_data_train_valve.zip": "057cdd560caffb8305449541afd28c6d",
        "eval_data_train_ToyCar.zip": "a5d4ccd498af70b04dd74b644b820006",
        "eval_data_train_ToyConveyor.zip": "0e808ac0b761e9fb13d5e0c65caff00d",
        "eval_data_test_fan.zip": "1eb9356a768cadfd0f2e59a5c57e578b",
        "eval_data_test_pump.zip": "23a8f8f924be218c69df67fe07360348",
        "eval_data_test_slider.zip": "0193c769073840332ce3aad84b1ccaa2",
        "eval_data_test_valve.zip": "f69c551d2088691050d20cccca9d631c",
        "eval_data_test_ToyCar.zip": "bea2bdd612f616be8f2b8eb087b32c7c",
        "eval_data_test_ToyConveyor.zip": "ccfcc9847c7d3404d7ee9d6d9e0b2ba2",
    },
    "dcase2023": {
        "dev_bearing.zip": "8a813bc8d8f156b5395bfccdfac7673c",
        "dev_fan.zip": "9348591e96fb0ad499a1e33b082562fc",
        "dev_gearbox.zip": "b6e55f6a31faa0fc8569ec0afdd53ccf",
        "dev_slider.zip": "b3f8dee36b4718c36d659a4fd1c4afe0",
        "dev_ToyCar.zip": "4e3bf15f4101ed4ed4f1fecde2e2b2a3",
        "dev_ToyTrain.zip": "6b02a6c65eebb3b8b1ae59a6b25bb897",
        "dev_valve.zip": "b2051a2022eadb53cd97581120811cae",
        "eval_data_bandsaw_train.zip": "9274dfe63de028743823f1123f8b4b47",
        "eval_data_grinder_train.zip": "17569c1f9df23621a0dbabc430684a35",
        "eval_data_shaker_train.zip": "35f821b5645b731fb5a1750e33b95fc3",
        "eval_data_ToyDrone_train.zip": "7fea367d1384a1521ae24f72203238de",
        "eval_data_ToyNscale_train.zip": "9332822f3e47afd984c01f2ecb5ca3af",
        "eval_data_ToyTank_train.zip": "b1fd3ab7de7561290df2d477de1c9d33",
        "eval_data_Vacuum_train.zip": "1c8de33d9a8c7850a1f7aaddb97d87be",
        "eval_data_bandsaw_test.zip": "2a8e8f39f6584ab366a8f4da52d4d7a6",
        "eval_data_grinder_test.zip": "631b3e1608b6077772829a6e68c82c77",
        "eval_data_shaker_test.zip": "ba98c98caa96051ec80e24e44b8fca56",
        "eval_data_ToyDrone_test.zip": "fdae7b8d1f4cadb2bea88bc93e2367db",
        "eval_data_ToyNscale_test.zip": "62f5f5043d8fb3a305b1c2e1025872de",
        "eval_data_ToyTank_test.zip": "f5639bf58c47169c622751f19c6fc321",
        "eval_data_Vacuum_test.zip": "a32524fd8c45b574a560685b38acc4e1",
    },
}
