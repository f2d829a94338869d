/** All that is behind the door, in one script: the SDK with its session, and the frame with its chat. */
import { MemoryDisk, openClient } from "@educonnect/sdk";
import { Inside } from "./inside";
import "./main";
import { arrive } from "./opening";

const given = { openClient, MemoryDisk, Inside };
export type Behind = typeof given;

arrive(given);
