/** All of a conversation that comes a moment after its words (parts/extras.ts). */
export { Files } from "./files";
export { Here } from "./here";
export { Names, namesPressed } from "./names";
export { Over } from "./over";
export { faultOf, Tray } from "./tray";
