// Does something once for every event of PROCESS_EVENTS, in order, also when it is killed in between.
//   npm ci                                                                    (Node 18 or newer)
//   NATS_URL=nats://127.0.0.1:4222 node consumer.mjs done.log
import { closeSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, nanos } from "@nats-io/transport-node";

// Here the work is a line in a file, and its first word remembers that it is done: one write for both.
const path = process.argv[2];
closeSync(openSync(path, "a"));
const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
// A line that a dying machine left in half is no line.
truncateSync(path, lines.reduce((length, line) => length + Buffer.byteLength(line) + 1, 0));
const done = new Set(lines.map((line) => line.split(" ")[0]));
const log = openSync(path, "a");

const servers = process.env.NATS_URL ?? "nats://127.0.0.1:4222";
const broker = await connect({ servers, maxReconnectAttempts: -1 });
// The broker remembers under this name what was acknowledged. One at a time, so that the order holds after a failure.
const place = { durable_name: "example-javascript", filter_subjects: ["core.process.>", "core.source.>"] };
const care = { ack_policy: "explicit", ack_wait: nanos(5000), max_ack_pending: 1 };
await (await jetstreamManager(broker)).consumers.add("PROCESS_EVENTS", { ...place, ...care });
const consumer = await jetstream(broker).consumers.get("PROCESS_EVENTS", place.durable_name);
for await (const message of await consumer.consume({ max_messages: 1 })) {
  const event = message.json();
  const known = event.schema === 1; // pass over what was written by another contract
  if (known && event.origin !== "initial" && !done.has(event.id)) {
    writeSync(log, `${event.id} ${event.subject}\n`);
    fsyncSync(log);
    done.add(event.id);
  }
  await message.ackAck(); // only now: who dies before gets it again
}
