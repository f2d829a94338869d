// How much a page may load, in bytes after brotli at its best: the one place that says so. The builds print what it is, and a test compares.
export const BOUNDS = {
  sdkCore: { of: "the SDK's core: what every session runs", most: 20_000 },
  door: { of: "everything before the door can be used", most: 15_500 },
  doorScript: { of: "script before the door can be used", most: 13_000 },
  chatScript: { of: "script before a chat can be used", most: 43_500 },
  firstPage: { of: "the whole first page, chat and all", most: 53_500 },
};
