/**
 * What the first view reads first, asked for while its code is still on the way: the host loads this part before it draws
 * anything of ours.
 */

/** Seconds after which an answer is too old to begin with. */
const FRESH = 10;

type Begun = { at: number; response: Promise<Response> };

const begun = new Map<string, Begun>();

/** Ask for these at once; whoever reads one of them soon has the answer that is on its way. */
export function begin(urls: readonly string[], ask: (url: string) => Promise<Response>): void {
  for (const url of urls) {
    const response = ask(url);
    // Nobody may come for it; whoever does hears of it.
    response.catch(() => undefined);
    begun.set(url, { at: performance.now(), response });
  }
}

/** Give the answer that is on its way, once. */
export function taken(url: string): Promise<Response> | undefined {
  const found = begun.get(url);
  begun.delete(url);
  return found && performance.now() - found.at < FRESH * 1000 ? found.response : undefined;
}

/** Give what the fleet's first view asks; nothing at another address than its own. */
export function firstOf(base: string, { pathname, search }: Pick<Location, "pathname" | "search">): string[] {
  if (!/\/plugin\/edge\/?$/.test(pathname) || search) return [];
  return ["workers?order_by=name&limit=50&offset=0", "overview", "permissions"].map((path) => new URL(path, base).href);
}
