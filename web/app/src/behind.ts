/** All that is behind the door, in one script: the SDK with its session, and the frame with its chat. */
export { MemoryDisk, openClient } from "@educonnect/sdk";
export { Inside } from "./inside";
import "./main";
