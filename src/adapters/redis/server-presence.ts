import { connect } from "node:net";

/** A connection to a serving Redis that tells when it goes away. */
export interface Presence {
  readonly pid: number;
  /** Resolves when the server is gone (or when released). */
  readonly gone: Promise<void>;
  release(): void;
}

/** A server that accepts the connection but says nothing for so long counts as not there. */
const answerMs = 5_000;

/**
 * Connects to the socket and asks who answers; undefined when nobody does. The connection stays open and does not keep
 * the process alive. A server that is still loading its data counts as present: clients wait for it by themselves.
 */
export function watchServer(socketPath: string): Promise<Presence | undefined> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const silence = setTimeout(() => socket.destroy(), answerMs);
    const gone = new Promise<void>((settle) => {
      socket.once("close", () => {
        clearTimeout(silence);
        settle();
        resolve(undefined);
      });
    });
    let answer = "";
    socket.setEncoding("utf8");
    socket.on("error", () => socket.destroy());
    socket.on("connect", () => socket.write("INFO server\r\n"));
    socket.on("data", (text: string) => {
      answer = (answer + text).slice(-16_384);
      const pid = /process_id:(\d+)/.exec(answer)?.[1];
      if (pid === undefined) return;
      clearTimeout(silence);
      socket.unref();
      resolve({ pid: Number(pid), gone, release: () => socket.destroy() });
    });
  });
}
