/** Pictures that were chosen here, as this device has them: shown until, and instead of, what the server makes of them. */
const KEPT_MAX = 40;
const urls = new Map<string, string>();

/** By the SHA-256 of its bytes, in hexadecimal. */
export function ownPicture(hash: string): string | undefined {
  return urls.get(hash);
}

export function keepOwn(hash: string, url: string): void {
  if (!hash) return;
  const before = urls.get(hash);
  if (before && before !== url) URL.revokeObjectURL(before);
  urls.set(hash, url);
  for (const [old, each] of urls) {
    if (urls.size <= KEPT_MAX) break;
    urls.delete(old);
    URL.revokeObjectURL(each);
  }
}

export function hexOf(raw: Uint8Array): string {
  return [...raw].map((one) => one.toString(16).padStart(2, "0")).join("");
}
