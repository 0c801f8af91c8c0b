import { type Dirent, readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/**
 * What git said about the refs of a repository, kept while they stay as they are. Watchers ask again and again, and a
 * process of git each time is what a simulated forge spends most of its time on.
 */
interface Kept {
  readonly refs: string;
  readonly answers: Map<string, Buffer>;
}

const mostRepositories = 200;
const mostAnswers = 50;
const kept = new Map<string, Kept>();

/** Answers a question about refs from what was said before, or asks and keeps it unless the refs moved meanwhile. */
export async function answerAboutRefs(
  directory: string,
  question: string,
  ask: () => Promise<Buffer | undefined>,
): Promise<Buffer | undefined> {
  const refs = readRefs(directory);
  const known = kept.get(directory);
  const said = known?.refs === refs ? known.answers.get(question) : undefined;
  if (said !== undefined) return said;
  const answer = await ask();
  if (answer !== undefined && readRefs(directory) === refs) keep(directory, refs, question, answer);
  return answer;
}

function keep(directory: string, refs: string, question: string, answer: Buffer): void {
  const known = kept.get(directory);
  if (known?.refs === refs && known.answers.size < mostAnswers) {
    known.answers.set(question, answer);
    return;
  }
  if (kept.size >= mostRepositories) kept.clear();
  kept.set(directory, { refs, answers: new Map([[question, answer]]) });
}

/** A text that changes with every ref, and with the settings a repository has of its own. */
function readRefs(directory: string): string {
  const files = ["HEAD", "config"].map((name) => contentOf(join(directory, name)));
  const packed = statSync(join(directory, "packed-refs"), { bigint: true, throwIfNoEntry: false });
  return [...files, packed === undefined ? "" : `${packed.ino} ${packed.mtimeNs} ${packed.size}`]
    .concat(looseRefs(directory, "refs"))
    .join("\n");
}

function looseRefs(directory: string, folder: string): string[] {
  return entriesOf(join(directory, folder)).flatMap((entry) => {
    const name = `${folder}/${entry.name}`;
    return entry.isDirectory() ? looseRefs(directory, name) : [`${name} ${contentOf(join(directory, name))}`];
  });
}

/** Folders go with the last ref in them. */
function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

/** A file that goes at this moment makes a text unlike the one before and after. */
function contentOf(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
