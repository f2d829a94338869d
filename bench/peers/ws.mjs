// A plain server on node's `ws`: rooms, and a loop over their sockets, as its documentation sets out a broadcast.
//
//   node --expose-gc ws.mjs
//
// It speaks the plain dialect of bench/peer_plain.py, knows nobody, checks nothing and stores nothing. One process: `ws` has no link to
// another. Prints its port when it listens; a line on standard input asks it to collect garbage before its memory is read.

import { createInterface } from "node:readline";
import { WebSocketServer } from "ws";

const rooms = new Map();
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 16384, perMessageDeflate: false });

server.on("connection", (socket) => {
  let members;
  let notice;
  socket.on("message", (data) => {
    const text = data.toString();
    switch (text[0]) {
      case "T":
        for (const member of members) member.send(notice);
        break;
      case "I":
        socket.send(text);
        break;
      case "J": {
        const [room, user] = text.slice(1).split(" ");
        members = rooms.get(room) ?? new Set();
        rooms.set(room, members);
        members.add(socket);
        notice = `T${room} ${user}`;
        socket.send("R");
      }
    }
  });
  socket.on("close", () => members?.delete(socket));
  socket.on("error", () => socket.terminate());
});

server.on("listening", () => console.log(server.address().port));
createInterface({ input: process.stdin })
  .on("line", () => {
    globalThis.gc();
    console.log("collected");
  })
  .on("close", () => process.exit(0));
