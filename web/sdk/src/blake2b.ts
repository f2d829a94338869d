/** BLAKE2b (RFC 7693), without a key. By `bigint`: for the few bytes of a mutation, now and then. */

const MASK = (1n << 64n) - 1n;
const START: readonly bigint[] = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n, 0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
];
/** Which words of a block each round mixes in, in which order; of twelve rounds the last two are as the first. */
const ORDERS: readonly string[] = [
  "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
  "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0",
];
const BLOCK = 128;

/** The digest of so many bytes (1 to 64). */
export function blake2b(bytes: Uint8Array, size: number): Uint8Array {
  const hash = [...START];
  hash[0]! ^= 0x01010000n ^ BigInt(size);
  const blocks = Math.max(1, Math.ceil(bytes.length / BLOCK));
  for (let n = 0; n < blocks; n++) {
    const block = new Uint8Array(BLOCK);
    block.set(bytes.subarray(n * BLOCK, (n + 1) * BLOCK));
    const last = n === blocks - 1;
    mix(hash, block, BigInt(last ? bytes.length : (n + 1) * BLOCK), last);
  }
  const out = new DataView(new ArrayBuffer(64));
  hash.forEach((word, place) => out.setBigUint64(place * 8, word, true));
  return new Uint8Array(out.buffer, 0, size);
}

function mix(hash: bigint[], block: Uint8Array, count: bigint, last: boolean): void {
  const view = new DataView(block.buffer);
  const v = [...hash, ...START];
  v[12]! ^= count;
  if (last) v[14]! ^= MASK;
  const turn = (word: bigint, by: bigint) => ((word >> by) | (word << (64n - by))) & MASK;
  const half = (a: number, b: number, c: number, d: number, word: bigint, byD: bigint, byB: bigint) => {
    v[a] = (v[a]! + v[b]! + word) & MASK;
    v[d] = turn(v[d]! ^ v[a]!, byD);
    v[c] = (v[c]! + v[d]!) & MASK;
    v[b] = turn(v[b]! ^ v[c]!, byB);
  };
  for (let round = 0; round < 12; round++) {
    const order = ORDERS[round % 10]!;
    for (let n = 0; n < 8; n++) {
      const [a, turned] = [n & 3, n >> 2];
      const [b, c, d] = [4 + ((a + turned) & 3), 8 + ((a + 2 * turned) & 3), 12 + ((a + 3 * turned) & 3)];
      const [x, y] = [0, 1].map((one) => view.getBigUint64(parseInt(order[2 * n + one]!, 16) * 8, true));
      half(a, b, c, d, x!, 32n, 24n);
      half(a, b, c, d, y!, 16n, 63n);
    }
  }
  for (let n = 0; n < 8; n++) hash[n]! ^= v[n]! ^ v[n + 8]!;
}
