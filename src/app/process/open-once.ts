/** Handles by name, opened at first use and again when their settings change. */
export interface OpenOnce<Settings, Handle> extends AsyncDisposable {
  get(name: string, settings: Settings): Promise<Handle>;
}

/**
 * Opens each handle once however many ask at the same time. A handle whose settings changed is set aside, not closed:
 * an operation under way may still be using it; it is closed with the rest. A failed opening is tried again.
 */
export function openOnce<Settings, Handle extends Partial<AsyncDisposable>>(
  open: (name: string, settings: Settings) => Promise<Handle>,
): OpenOnce<Settings, Handle> {
  const handles = new Map<string, { readonly fingerprint: string; readonly handle: Promise<Handle> }>();
  const opened = new Set<Promise<Handle>>();
  return {
    get(name, settings) {
      const fingerprint = JSON.stringify(settings);
      const known = handles.get(name);
      if (known?.fingerprint === fingerprint) return known.handle;
      const handle = open(name, settings);
      const entry = { fingerprint, handle };
      handles.set(name, entry);
      opened.add(handle);
      handle.catch(() => {
        opened.delete(handle);
        if (handles.get(name) === entry) handles.delete(name);
      });
      return handle;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(
        [...opened].map(async (opening) => (await opening.catch(() => undefined))?.[Symbol.asyncDispose]?.()),
      );
      handles.clear();
      opened.clear();
    },
  };
}
