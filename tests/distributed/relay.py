"""A TCP relay that holds every byte back: `python relay.py LISTEN_PORT TARGET_HOST TARGET_PORT DELAY_MS`."""

from __future__ import annotations

import asyncio
import sys


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    while data := await reader.read(65536):
        loop.call_later(delay_s, writer.write, data)  # timers of one delay fire in order
    loop.call_later(delay_s, writer.close)


async def _serve(port: int, host: str, target_port: int, delay_s: float) -> None:
    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, target_port)
        await asyncio.gather(_carry(reader, back, delay_s), _carry(there, writer, delay_s), return_exceptions=True)

    async with await asyncio.start_server(joined, "0.0.0.0", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]) / 1000))
