"""A mail server on loopback for the tests of mail.

Its first line of output is its port; then a line of JSON for each message that
it has taken, or that it has heard and refused. It ends with its standard input.

    server.py [--tls CERTIFICATE KEY | --starttls CERTIFICATE KEY]
              [--password NAME PASSWORD] [--trouble WHAT]
"""

import argparse
import asyncio
import email
import email.policy
import itertools
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

TROUBLES = [
    "refuse-sender", "refuse-recipient", "later-recipient", "refuse-message", "repeat-message",
    "silent-greeting", "silent-recipient", "silent-data", "silent-message", "drop-in-data",
    "drop-at-end", "no-smtp", "slow", "recovers",
    "silent-quit",
]


ATTEMPTS = itertools.count()


def tell(**what):
    print(json.dumps(what), flush=True)


class Handler:
    def __init__(self, trouble):
        self.trouble = trouble

    async def handle_MAIL(self, server, session, envelope, address, options):
        if self.trouble == "refuse-sender":
            return "553 5.7.1 not from here"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.trouble == "refuse-recipient":
            return "550 5.1.1 no such user here"
        if self.trouble == "later-recipient":
            return "451 4.7.1 come back later"
        if self.trouble == "silent-recipient":
            await asyncio.sleep(3600)
        if self.trouble == "recovers" and next(ATTEMPTS) < 2:
            return "451 4.7.1 come back later"
        if self.trouble == "slow":
            await asyncio.sleep(0.5)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        content = envelope.content
        message = email.message_from_bytes(content, policy=email.policy.default)
        parts = {
            part.get_content_type(): part.get_content()
            for part in message.walk() if not part.is_multipart()
        }
        tell(
            encrypted=server.transport.get_extra_info("sslcontext") is not None,
            hello=session.host_name,
            envelope={"from": envelope.mail_from, "to": envelope.rcpt_tos},
            headers=[[name, str(value)] for name, value in message.items()],
            parts=parts,
            raw=content.decode("latin-1"),
        )
        if self.trouble == "refuse-message":
            return "554 5.7.1 not wanted"
        if self.trouble == "repeat-message":
            # As some filters do, in one way or the other.
            text = parts["text/plain"]
            link = next(line for line in text.splitlines() if line.startswith("http"))
            return f"554 5.7.1 the link {link} is not wanted"
        if self.trouble == "silent-message":
            await asyncio.sleep(3600)
        if self.trouble == "drop-at-end":
            server.transport.abort()
        return "250 OK"


class Server(SMTP):
    async def smtp_DATA(self, argument):
        trouble = self.event_handler.trouble
        if trouble == "silent-data":
            await asyncio.sleep(3600)
        if trouble == "drop-in-data":
            await self.push("354 go on")
            await self._reader.readline()
            self.transport.abort()
            return
        await super().smtp_DATA(argument)

    async def smtp_QUIT(self, argument):
        if self.event_handler.trouble == "silent-quit":
            await asyncio.sleep(3600)
        await super().smtp_QUIT(argument)


def authenticator(name, password):
    def check(server, session, envelope, mechanism, data):
        right = (data.login, data.password) == (name.encode(), password.encode())
        # Unhandled: the library gives the answer.
        return AuthResult(success=right, handled=False)
    return check


def context(files):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*files)
    return made


class Silent(asyncio.Protocol):
    pass


class Web(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--starttls", nargs=2)
    parser.add_argument("--password", nargs=2)
    parser.add_argument("--trouble", choices=TROUBLES)
    chosen = parser.parse_args()
    options = {"hostname": "mail.test", "enable_SMTPUTF8": False}
    if chosen.starttls:
        options |= {"tls_context": context(chosen.starttls), "require_starttls": True}
    if chosen.password:
        options |= {"auth_required": True, "authenticator": authenticator(*chosen.password)}
        # With TLS from the first byte on the library does not see that it is there.
        options |= {"auth_require_tls": bool(chosen.starttls)}

    def protocol():
        if chosen.trouble == "silent-greeting":
            return Silent()
        if chosen.trouble == "no-smtp":
            return Web()
        return Server(Handler(chosen.trouble), **options)

    secured = context(chosen.tls) if chosen.tls else None
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=secured)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
