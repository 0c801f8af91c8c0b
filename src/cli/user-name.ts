import { userInfo } from "node:os";

/** Who runs the command, for those who read later what was done. */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return "unknown";
  }
}
