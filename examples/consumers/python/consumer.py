# Does something once for every event of PROCESS_EVENTS, in order, also when it is killed in between.
#   pip install -r requirements.txt                                           (Python 3.9 or newer)
#   NATS_URL=nats://127.0.0.1:4222 python3 consumer.py done.log
import asyncio, json, os, sys
import nats
from nats.js.api import ConsumerConfig


async def main(path):
    # Here the work is a line in a file, and its first word remembers that it is done: one write for both.
    log = open(path, "a+b", buffering=0)
    log.seek(0)
    lines = log.read().split(b"\n")[:-1]
    log.truncate(sum(len(line) + 1 for line in lines))  # a line that a dying machine left in half is no line
    done = {line.split()[0].decode() for line in lines}
    broker = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"), max_reconnect_attempts=-1)
    stream = broker.jetstream()
    # The broker remembers under this name what was acknowledged. One at a time, so that the order holds after a failure.
    await stream.add_consumer("PROCESS_EVENTS", ConsumerConfig(
        durable_name="example-python", filter_subjects=["core.process.>", "core.source.>"],
        ack_wait=5, max_ack_pending=1))
    reader = await stream.pull_subscribe_bind("example-python", "PROCESS_EVENTS")
    while True:
        try:
            [message] = await reader.fetch(1, timeout=5)
        except nats.errors.TimeoutError:
            continue  # nothing happened, or the broker began anew
        event = json.loads(message.data)
        known = event["schema"] == 1  # pass over what was written by another contract
        if known and event["origin"] != "initial" and event["id"] not in done:
            log.write(f"{event['id']} {event['subject']}\n".encode())
            os.fsync(log.fileno())
            done.add(event["id"])
        await message.ack_sync()  # only now: who dies before gets it again


asyncio.run(main(sys.argv[1]))
