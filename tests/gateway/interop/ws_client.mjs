// The npm package `ws` against the port: echoes in every size, fragments, pings, close codes. Prints one JSON line.
import { createRequire } from "node:module";

const [url, modules] = process.argv.slice(2);
const WebSocket = createRequire(modules + "/")("ws");
const SIZES = [0, 1, 125, 126, 127, 128, 65535, 65536, 200000];

const socket = new WebSocket(url, ["educonnect.v1"]);
const heard = [];
let wake = () => {};
socket.on("message", (data, isBinary) => { heard.push([data, isBinary]); wake(); });
socket.on("pong", (data) => { heard.push([data, "pong"]); wake(); });
socket.on("error", (error) => { console.log(JSON.stringify({ error: String(error) })); process.exit(1); });

async function next() {
  while (heard.length === 0) await new Promise((resolve) => { wake = resolve; });
  return heard.shift();
}

socket.on("open", async () => {
  const result = { subprotocol: socket.protocol, extensions: socket.extensions, echoed: 0 };
  for (const size of SIZES) {
    const sent = Buffer.alloc(size, "abc");
    socket.send(sent);
    const [data, isBinary] = await next();
    if (isBinary === true && sent.equals(data)) result.echoed += 1;
  }
  socket.send(Buffer.from("frag"), { binary: true, fin: false });
  socket.ping("between");
  socket.send(Buffer.from("mented"), { binary: true, fin: true });
  const answers = [await next(), await next()];
  result.pong = answers.find(([, kind]) => kind === "pong")[0].toString();
  result.fragmented = answers.find(([, kind]) => kind === true)[0].toString();
  socket.on("close", (code, reason) => {
    result.close = [code, reason.toString()];
    console.log(JSON.stringify(result));
  });
  socket.close(4321, "so long");
});
