/** What fitted into a budget of characters, in order, and how many did not. */
export interface Fitted<T> {
  readonly shown: readonly T[];
  readonly omitted: number;
}

/** Takes items from the front while they fit; `sizeOf` includes whatever separates an item from the next. */
export function fitItems<T>(items: readonly T[], budget: number, sizeOf: (item: T) => number): Fitted<T> {
  let used = 0;
  let count = 0;
  for (const item of items) {
    used += sizeOf(item);
    if (used > budget) break;
    count += 1;
  }
  return { shown: items.slice(0, count), omitted: items.length - count };
}

/** A section of the comment, and how many of its entries had to stay out. */
export interface Section {
  readonly text: string;
  readonly omitted: number;
}

export const emptySection: Section = { text: "", omitted: 0 };

/** A bullet list that fits, with a last bullet for what is missing. */
export function fitBullets(items: readonly string[], budget: number, prefix = ""): Section {
  const fitted = fitItems(items, budget - 60, (item) => prefix.length + item.length + 3);
  const rest = fitted.omitted === 0 ? [] : [`… and ${fitted.omitted} more`];
  return {
    text: [...fitted.shown, ...rest].map((item) => `${prefix}- ${item}`).join("\n"),
    omitted: fitted.omitted,
  };
}
