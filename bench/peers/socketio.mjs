// The peer: what people would pick instead. Socket.IO 4 with its Redis adapter, one node of two, as its documentation sets it up.
//
//   node --expose-gc socketio.mjs '{"redis": "/path/of/socket", "keys": "/path/of/public.pem", "pingMs": 300000}'
//
// It checks the same EdDSA tokens that our gateways do, joins the room it is told, passes on what is said, and stores nothing.
// Prints its port when it listens; a line on standard input asks it to collect garbage before its memory is read.

import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const options = JSON.parse(process.argv[2]);
const key = createPublicKey(readFileSync(options.keys));
const publisher = createClient({ socket: { path: options.redis } });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer();
const io = new Server(http, {
  adapter: createAdapter(publisher, subscriber),
  transports: ["websocket"],
  serveClient: false,
  pingInterval: options.pingMs,
});
// Its documentation's own advice for less memory: the handshake's request is not kept.
io.engine.on("connection", (raw) => {
  raw.request = null;
});

io.use((socket, next) => {
  const [head, payload, signature] = String(socket.handshake.auth.token).split(".");
  const signed = Buffer.from(`${head}.${payload}`);
  if (!verify(null, signed, key, Buffer.from(signature ?? "", "base64url"))) return next(new Error("unauthenticated"));
  const claims = JSON.parse(Buffer.from(payload, "base64url"));
  if (claims.exp * 1000 < Date.now()) return next(new Error("expired"));
  socket.data.user = Number(claims.sub);
  next();
});

io.on("connection", (socket) => {
  const user = socket.data.user;
  const room = Number(socket.handshake.auth.room);
  const name = `room:${room}`;
  socket.join(name);
  socket.on("say", (text, acknowledge) => {
    io.to(name).emit("said", { room, author: user, at: Math.floor(Date.now() / 1000), text });
    acknowledge();
  });
  socket.on("typing", () => {
    io.to(name).emit("typing", { room, user });
  });
  socket.on("ask", (clock, answer) => {
    answer(clock);
  });
  socket.emit("ready");
});

http.listen(0, "127.0.0.1", 16384, () => console.log(http.address().port));
createInterface({ input: process.stdin })
  .on("line", () => {
    globalThis.gc();
    console.log("collected");
  })
  .on("close", () => process.exit(0));
