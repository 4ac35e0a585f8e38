"""TLS over memory buffers, so that the socket below keeps its kernel stamps."""

from __future__ import annotations

import ssl
from functools import lru_cache

from fmload.base.errors import FmloadError
from fmload.wire.exchange import Address

_MOST_BYTES = 64 * 1024  # of one read. So much is reserved for it, and given back: it is asked for what may be there


@lru_cache(maxsize=64)
def client_context(ca_file: str | None, verify: bool, certificate: str | None = None,
                   key: str | None = None) -> ssl.SSLContext:
    """A context that verifies certificate and host name, unless `verify` is False (tests only), and shows the client's
    own certificate where there is one (`key`: its key, where that is in another file).

    Raises FmloadError when one of the files cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise FmloadError(f"cannot use the CA file {ca_file}: {error.strerror or error}",
                          hint="ca_file names a PEM file of certificates") from error
    if certificate is not None:
        _show(context, certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _show(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    try:
        context.load_cert_chain(certificate, key, password=b"")  # an encrypted key would be asked for on the terminal
    except (OSError, ValueError) as error:
        files = certificate if key is None else f"{certificate} and {key}"
        why = getattr(error, "strerror", None) or error
        raise FmloadError(f"cannot use the client's certificate in {files}: {why}",
                          hint="client_certificate names a PEM file with the certificate and its key; client_key one "
                               "with the key alone, not encrypted") from error


class TlsSession:
    """One TLS session between two memory buffers: ciphertext in, plain bytes out, and back.

    `below`: the session whose plain bytes are this one's ciphertext, which is that with an HTTPS proxy.
    """

    def __init__(self, address: Address, below: TlsSession | None = None) -> None:
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = client_context(address.ca_file, address.verify, address.certificate, address.certificate_key)
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=address.host)
        self.closed = False  # the peer has ended the session properly

    def shake_hands(self, data: bytes) -> bool:
        """Take what the peer sent; True once the handshake is done. Raises ssl.SSLError."""
        self._take(data)
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def encrypt(self, data: bytes) -> bytes:
        """The ciphertext of `data`, with whatever else the session has to say."""
        self._session.write(data)
        return self._said()

    def pending_output(self) -> bytes:
        """What the session has to say by itself: handshake, key updates."""
        below = self._below.pending_output() if self._below is not None else b""
        return below + self._said() if self._outgoing.pending else below

    def _said(self) -> bytes:
        said = self._outgoing.read()
        return said if self._below is None else self._below.encrypt(said)

    def _take(self, data: bytes) -> None:
        if self._below is not None:
            data = self._below.decrypt(data)
            self.closed = self._below.closed
        self._incoming.write(data)

    def decrypt(self, data: bytes) -> bytes:
        """The plain bytes that `data` completes; empty when no record is whole yet. Raises ssl.SSLError."""
        incoming, session = self._incoming, self._session
        self._take(data)
        parts: list[bytes] = []
        while incoming.pending or session.pending():
            try:
                part = session.read(min(_MOST_BYTES, incoming.pending or session.pending()))
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                self.closed = True
                break
            if not part:  # a close alert, on some versions
                self.closed = True
                break
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
