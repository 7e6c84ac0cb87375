"""wsclient.py URL [CAFILE] [text]: joins a websocket with stdin and stdout.

What it reads from stdin it sends in binary frames (text frames, if told so);
what frames bring goes to stdout. It prints "open" on stderr when connected.
"""
import asyncio
import ssl
import sys

import websockets


async def main():
    args = [a for a in sys.argv[1:] if a != "text"]
    context = ssl.create_default_context(cafile=args[1]) if len(args) > 1 else None
    async with websockets.connect(args[0], ssl=context, subprotocols=["binary"]) as ws:
        print("open", ws.subprotocol, file=sys.stderr, flush=True)
        stdin = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)

        async def up():
            while data := await stdin.read(65536):
                await ws.send(data.decode() if "text" in sys.argv else data)
            await ws.close()

        typing = asyncio.ensure_future(up())
        async for message in ws:
            sys.stdout.buffer.write(message if isinstance(message, bytes) else message.encode())
            sys.stdout.buffer.flush()
        typing.cancel()


asyncio.run(main())
