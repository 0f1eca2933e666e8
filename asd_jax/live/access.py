"""Who may see the monitor: this machine alone, or whoever knows a token."""

import dataclasses
import hmac
import http.cookies
import ipaddress
import re
import ssl
from typing import Any

from asd_jax.errors import UserError
from asd_jax.files import why

LEAST = 16  # characters of a token
_COOKIE = "asd_jax_token"


@dataclasses.dataclass(frozen=True)
class Access:
    """What is asked of a request.

    Attributes:
        token: must come with each; '' asks for none.
        certificate, key: files in PEM form, for TLS; '' for none.
        behind_proxy: another program on this machine or network takes TLS off.
    """

    token: str = dataclasses.field(default="", repr=False)
    certificate: str = ""
    key: str = ""
    behind_proxy: bool = False

    def __post_init__(self) -> None:
        if self.token and (len(self.token) < LEAST or not re.fullmatch("[A-Za-z0-9]+", self.token)):
            raise UserError(
                f"the token must have at least {LEAST} letters and digits and nothing else; make "
                "one with: openssl rand -hex 24."
            )
        if self.key and not self.certificate:
            raise UserError("--key goes with --certificate=FILE.")

    @property
    def scheme(self) -> str:
        """Of the page's address."""
        return "https" if self.certificate else "http"

    def check(self, host: str) -> None:
        """Raises UserError where others could reach the page without a token, or read the token."""
        if is_loopback(host):
            return
        if not self.token:
            raise UserError(
                f"--host={host} opens the page to others: give a token by --token_file=FILE or in "
                "ASD_JAX_TOKEN, and --certificate=FILE, or --behind_proxy where a proxy does TLS."
            )
        if not self.certificate and not self.behind_proxy:
            raise UserError(
                f"--host={host} would send the token over the network in the open: give "
                "--certificate=FILE (and --key=FILE), or --behind_proxy where a proxy does TLS."
            )

    def wrap(self, server: Any) -> None:
        """Lets a server speak TLS, if there is a certificate; raises UserError if it is none."""
        if not self.certificate:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key or None)
        except (OSError, ssl.SSLError) as error:
            said = error if isinstance(error, ssl.SSLError) else why(error)
            server.server_close()
            raise UserError(f"--certificate={self.certificate}: {said}.") from error
        # The handshake waits for the request's own thread: a silent caller holds up no other.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )

    def right(self, given: str) -> bool:
        """Whether it is the token."""
        return hmac.compare_digest(given.encode(), self.token.encode())

    def allows(self, authorization: str | None, cookie: str | None) -> bool:
        """Whether a request's headers hold the token, or none is asked for."""
        if not self.token:
            return True
        kind, _, given = (authorization or "").partition(" ")
        if kind.lower() == "bearer" and self.right(given.strip()):
            return True
        try:
            found = http.cookies.SimpleCookie(cookie or "").get(_COOKIE)
        except http.cookies.CookieError:
            return False
        return found is not None and self.right(found.value)

    def cookie(self) -> str:
        """What a browser keeps once it has shown the token; no other page can use or read it."""
        flags = "HttpOnly; SameSite=Strict; Path=/; Max-Age=31536000"
        return f"{_COOKIE}={self.token}; {flags}" + "; Secure" * bool(self.certificate)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server on that host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
