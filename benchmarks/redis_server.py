"""An embedded Redis server by itself: prints its URL and runs until it is terminated."""

import trio

from trio_wss.store.embedded import embedded


async def main() -> None:
    async with embedded(None) as url:
        print(url, flush=True)
        await trio.sleep_forever()


trio.run(main)
