"""A certificate of one's own, made at start, for the TLS option."""

from __future__ import annotations

import ssl
import subprocess
from ipaddress import ip_address
from pathlib import Path

from fmload.base.errors import FmloadError


def make_certificate(folder: Path, hosts: list[str]) -> Path:
    """Writes `ca.pem` (self-signed, P-256, for `hosts`) and `key.pem` in `folder`; returns the path of the former.

    Clients trust the server by naming that file. Made by the openssl command, which every host with TLS has.
    """
    certificate, key = folder / "ca.pem", folder / "key.pem"
    names = ",".join(f"{'IP' if _is_address(host) else 'DNS'}:{host}" for host in hosts)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
               "-days", "30", "-subj", f"/CN={hosts[0]}", "-addext", f"subjectAltName={names}",
               "-keyout", str(key), "-out", str(certificate)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    except FileNotFoundError as error:
        raise FmloadError("TLS needs the openssl command to make a certificate",
                          hint="install openssl, or leave out --tls") from error
    except subprocess.CalledProcessError as error:
        raise FmloadError(f"openssl could not make a certificate: {error.stderr.strip()}",
                          hint="check the host name given with --tls-host") from error
    return certificate


def server_context(certificate: Path) -> ssl.SSLContext:
    """A server-side context with the certificate and the key beside it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
