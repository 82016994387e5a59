"""An SMTP server on a free port of this machine: prints its port, and each
message that it takes as a line of JSON."""

import asyncio
import email
import email.policy
import json

from aiosmtpd.smtp import SMTP


def part(message, kind):
    found = message.get_body((kind,))
    return found.get_content() if found else None


class Keep:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        told = {
            "from": envelope.mail_from,
            "headers": str(message.items()),
            "to": envelope.rcpt_tos,
            "text": part(message, "plain"),
            "html": part(message, "html"),
        }
        print("message", json.dumps(told), flush=True)
        return "250 taken"


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Keep()), "127.0.0.1", 0)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
