"""Where the files come from: Zenodo and GitHub, or a mirror of both."""

import dataclasses
from collections.abc import Iterable

from asd_jax.data.download import transfer
from asd_jax.data.download.records import GITHUB, ZENODO, Archive, TruthList
from asd_jax.data.download.responses import Patience
from asd_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Source:
    """Where files come from and how patiently."""

    mirror: str = ""  # stands for Zenodo and GitHub, with the same paths; '' asks them
    patience: Patience = dataclasses.field(default_factory=Patience)

    def __post_init__(self):
        if self.mirror and not self.mirror.startswith(("http://", "https://")):
            raise UserError(
                f"--mirror={self.mirror} is not an address; give http://... or https://..."
            )

    def url(self, file: Archive | TruthList) -> str:
        """The address of a file."""
        return f"{self._root(ZENODO if isinstance(file, Archive) else GITHUB)}/{file.path}"

    def listing(self, record: int) -> dict[str, tuple[int, str]]:
        """Returns (bytes, 'md5:...') of each file of a record by its server; {} if it has none."""
        url = f"{self._root(ZENODO)}/api/records/{record}"
        try:
            answer = transfer.read_json(url, patience=self.patience) or {}
            files = answer.get("files") or []
            return {f["key"]: (int(f["size"]), str(f["checksum"])) for f in files}
        except (AttributeError, KeyError, TypeError, ValueError):
            return {}  # not as Zenodo answers: another kind of mirror

    def _root(self, server: str) -> str:
        return (self.mirror or server).rstrip("/")


def complete_facts(archives: Iterable[Archive], source: Source) -> tuple[Archive, ...]:
    """The archives with the size and md5 that the tables lack, from their records' listings.

    Raises:
        UserError: a record does not have such a file.
    """
    listings: dict[int, dict[str, tuple[int, str]]] = {}
    completed = []
    for archive in archives:
        if not (archive.size and archive.md5):
            if archive.record not in listings:
                listings[archive.record] = source.listing(archive.record)
            listing = listings[archive.record]
            if listing and archive.name not in listing:
                raise UserError(
                    f"record {archive.record} has no {archive.name}; it has {', '.join(listing)}."
                )
            size, checksum = listing.get(archive.name, (0, ""))
            kind, _, digest = checksum.partition(":")
            md5 = archive.md5 or (digest if kind == "md5" else "")
            archive = dataclasses.replace(archive, size=archive.size or size, md5=md5)
        completed.append(archive)
    return tuple(completed)
