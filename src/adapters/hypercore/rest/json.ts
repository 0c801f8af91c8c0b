/** Undefined when the text is not JSON: nodes that are starting answer HTML, with any status. */
export function parseJsonText(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
