"""What a reader of a layout is asked for."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The options of `read_clips` that a layout's reader needs."""

    snr: tuple[str, ...] = ()  # MIMII: '6', '0', '-6'; () means all
    use_additional: bool = False  # DCASE, MIMII DUE: the evaluation set's machines too
    normal: tuple[str, ...] = ()  # folder: more names of folders, or words of file names, that say
    abnormal: tuple[str, ...] = ()  # that a recording is of a healthy or of a faulty machine
