"""A real mail server for tests: aiosmtpd 1.4.6 with STARTTLS and a login.

    smtp_peer.py DIR CERT KEY [--no-starttls] [--open]

Writes each mail to DIR/N.eml with its envelope in two first lines, prints "ready PORT" once it listens, and ends when
its standard input is closed. The login is shop / correct. --open: no login, no TLS, mails are counted and dropped.
"""

import asyncio
import ssl
import sys
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult


class Keep:
    def __init__(self, folder, keep):
        self.folder, self.keep, self.count = Path(folder), keep, 0

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        if self.keep:
            head = f"{envelope.mail_from}\n{','.join(envelope.rcpt_tos)}\n"
            (self.folder / f"{self.count}.eml").write_bytes(head.encode() + envelope.content)
        return f"250 2.0.0 queued as {self.count}"


def login(server, session, envelope, mechanism, data):
    good = data.login == b"shop" and data.password == b"correct"
    return AuthResult(success=good, handled=False)


async def main(folder, cert, key, *flags):
    open_to_all = "--open" in flags
    tls = None
    if not open_to_all and "--no-starttls" not in flags:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(cert, key)
    handler = Keep(folder, not open_to_all)

    def protocol():
        return SMTP(
            handler,
            hostname="peer.test",
            tls_context=tls,
            require_starttls=tls is not None,
            auth_required=not open_to_all,
            auth_require_tls=tls is not None,
            authenticator=login,
            enable_SMTPUTF8=True,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main(*sys.argv[1:]))
