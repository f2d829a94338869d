/** Drawn signs, in the colour of the text around them; a reader by ear is told by the words beside them. */
const PATHS = {
  book: "M12 6.5C10 5 7 4.5 4 4.5v13c3 0 6 .5 8 2 2-1.5 5-2 8-2v-13c-3 0-6 .5-8 2zM12 6.5v13",
  back: "M15 5l-7 7 7 7",
  bell: "M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 1.5h-15zM10 20.5a2.2 2.2 0 0 0 4 0",
  clip: "M20 11.5l-8.2 8.2a5 5 0 0 1-7-7L13.5 4a3.3 3.3 0 0 1 4.7 4.7l-8.6 8.6a1.7 1.7 0 0 1-2.4-2.4l7.9-7.9",
  clock: "M12 7v5l3 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  cloud: "M7 18a4 4 0 0 1-.5-7.97A6 6 0 0 1 18 9.5 4.3 4.3 0 0 1 17.5 18z",
  done: "M5 12.5l4.5 4.5L19 7.5",
  edit: "M4 20l1-4L16.5 4.5l3 3L8 19zM14 7l3 3",
  file: "M7 3.5h7l4.5 4.5v12.5h-11.5zM14 3.5V8h4.5",
  flag: "M6 21V4M6 4.5h11l-2.5 4 2.5 4H6",
  hash: "M9.5 4L8 20M16 4l-1.5 16M4.5 9h16M3.5 15h16",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3M12 14.5v2",
  mentor: "M12 4l9 4.5-9 4.5-9-4.5zM7 11v4.5c2.8 2.4 7.2 2.4 10 0V11M21 8.5v6",
  more: "M5.5 12h.01M12 12h.01M18.5 12h.01",
  off: "M4 4l16 16M7 18a4 4 0 0 1-.5-7.97 6 6 0 0 1 1.2-2.6M10.5 5.2A6 6 0 0 1 18 9.5a4.3 4.3 0 0 1 2.6 6.6M17 18H7",
  onward: "M9 5l7 7-7 7",
  page: "M7 3h7l4 4v14H7zM14 3v4h4M10 12h5M10 16h5",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20a6.5 6.5 0 0 1 13 0M16 4.3a3.5 3.5 0 0 1 0 6.4M18 14.3a6.5 6.5 0 0 1 3.5 5.7",
  plus: "M12 5v14M5 12h14",
  reply: "M9 6L4 11l5 5M4 11h9a7 7 0 0 1 7 7",
  redo: "M15 6l5 5-5 5M20 11H9a5 5 0 0 0 0 10h3",
  remove: "M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l4.5 4.5",
  send: "M4 12L20 4l-5 16-3.5-6.5z",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5",
  stop: "M6 6l12 12M18 6L6 18",
  undo: "M9 6L4 11l5 5M4 11h11a5 5 0 0 1 0 10h-3",
  warn: "M12 4l9 16H3zM12 10v4.5M12 17.4h.01",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={`sign sign-${name}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
