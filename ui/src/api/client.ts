/** The REST API: each answer with its type, each refusal as an error that says what to do. */
import { heard } from "../clock.ts";
import { apiBeside } from "../place.ts";
import { count } from "../words.ts";
import { taken } from "./early.ts";
import type { components, paths } from "./schema.d.ts";

export type Schemas = components["schemas"];

type Paths<Method extends string> = {
  [Path in keyof paths]: paths[Path] extends { [M in Method]: { responses: object } } ? Path : never;
}[keyof paths];
type Operation<Path extends keyof paths, Method extends string> = Method extends keyof paths[Path]
  ? paths[Path][Method]
  : never;
type JsonOf<Answer> = Answer extends { content: { "application/json": infer Body } } ? Body : undefined;

/** The paths that can be read, and what one gives. */
export type Readable = Paths<"get">;
export type Answer<Path extends keyof paths, Method extends string = "get"> =
  Operation<Path, Method> extends {
    responses: infer Responses;
  }
    ? JsonOf<Responses[keyof Responses & (200 | 201 | 202)]>
    : never;
/** What is asked after the `?`, and what stands in the path. */
export type Query<Path extends keyof paths, Method extends string = "get"> =
  Operation<Path, Method> extends {
    parameters: { query?: infer Asked };
  }
    ? Asked
    : never;
export type InPath<Path extends keyof paths, Method extends string = "get"> =
  Operation<Path, Method> extends {
    parameters: { path: infer Named };
  }
    ? Named
    : never;
export type Writable = Paths<"post">;
export type Body<Path extends keyof paths> =
  Operation<Path, "post"> extends {
    requestBody?: { content: { "application/json": infer Sent } };
  }
    ? Sent
    : undefined;

/** What was asked and refused, or did not come through: `message` is a whole sentence for a person. */
export class Problem extends Error {
  override readonly name = "Problem";
  constructor(
    /** HTTP's, or 0 where nothing answered. */
    readonly status: number,
    /** One of the API's own words: `forbidden`, `not_found`, `malformed`, … */
    readonly code: string,
    readonly title: string,
    detail: string,
  ) {
    super(detail);
  }
}

type Parameters = { path?: Readonly<Record<string, unknown>>; query?: Readonly<Record<string, unknown>> };
type Known = { etag: string; body: unknown };

const MOST_KNOWN = 200;

/** Milliseconds in which a question and a change are answered, or are given up in words. */
export type Patience = { read: number; change: number };
const PATIENCE: Patience = { read: 30_000, change: 120_000 };

/** One door to the API. What was read before and has not changed is not sent again (ETag). */
export class Api {
  readonly #known = new Map<string, Known>();

  constructor(
    /** Ends with a slash. */
    public base: string = apiBeside(import.meta.url),
    readonly fetch: typeof globalThis.fetch = (...call) => globalThis.fetch(...call),
    public patience: Patience = PATIENCE,
  ) {}

  /** Read something; the very same object as before where it has not changed. */
  async get<Path extends Readable>(path: Path, asked: Parameters = {}, signal?: AbortSignal): Promise<Answer<Path>> {
    const url = this.url(path, asked);
    const known = this.#known.get(url);
    const init: RequestInit = {
      headers: known ? { "If-None-Match": known.etag } : {},
      // Ours is the only memory: the browser's would answer in the place of a 304.
      cache: "no-store",
    };
    return within("read", this.patience, signal, async (ending) => {
      const response = (await this.#early(url)) ?? (await this.#call(url, { ...init, signal: ending }));
      if (response.status === 304 && known) return known.body as Answer<Path>;
      const body = await bodyOf(response);
      this.#remember(url, response.headers.get("ETag"), body);
      return body as Answer<Path>;
    });
  }

  /** Change something. */
  async post<Path extends Writable>(
    path: Path,
    body: Body<Path>,
    asked: Parameters = {},
  ): Promise<Answer<Path, "post">> {
    const sent: RequestInit = {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body ?? null),
    };
    return within("change", this.patience, undefined, async (ending) => {
      const response = await this.#call(this.url(path, asked), { ...sent, signal: ending });
      return (await bodyOf(response)) as Answer<Path, "post">;
    });
  }

  /** Give the whole address of `path`, such as `/workers/{name}`. */
  url(path: string, { path: named = {}, query = {} }: Parameters = {}): string {
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(named[name])));
    const url = new URL(filled.replace(/^\//, ""), this.base);
    for (const [name, value] of Object.entries(query)) {
      for (const one of Array.isArray(value) ? value : [value]) {
        if (one !== undefined && one !== null && one !== "") url.searchParams.append(name, String(one));
      }
    }
    return url.href;
  }

  /** Give what was asked for before this code was there; only a good answer is one to begin with. */
  async #early(url: string): Promise<Response | undefined> {
    const response = await taken(url)?.catch(() => undefined);
    if (!response?.ok) return undefined;
    heard(response.headers.get("Date"));
    return response;
  }

  async #call(url: string, init: RequestInit): Promise<Response> {
    let response: Response;
    try {
      // A log-in page that one is led to is none of our answers.
      response = await this.fetch(url, { credentials: "same-origin", redirect: "manual", ...init });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new Problem(
        0,
        "unreachable",
        "No answer",
        "Airflow's API server does not answer. It is asked again by itself.",
      );
    }
    heard(response.headers.get("Date"));
    if (response.ok || response.status === 304) return response;
    if (isLoggedOut(response)) throw loggedOut();
    throw await problemOf(response);
  }

  #remember(url: string, etag: string | null, body: unknown): void {
    this.#known.delete(url);
    if (!etag) return;
    this.#known.set(url, { etag, body });
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST_KNOWN && oldest) this.#known.delete(oldest);
  }
}

/** Give up in words what is not answered, whole, in its time; `signal` gives it up before, without any. */
async function within<Said>(
  kind: keyof Patience,
  patience: Patience,
  signal: AbortSignal | undefined,
  ask: (ending: AbortSignal) => Promise<Said>,
): Promise<Said> {
  const ending = new AbortController();
  const leave = () => ending.abort();
  if (signal?.aborted) leave();
  signal?.addEventListener("abort", leave);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    ending.abort();
  }, patience[kind]);
  try {
    return await ask(ending.signal);
  } catch (error) {
    throw late && !signal?.aborted ? tooLate(kind, patience[kind]) : error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", leave);
  }
}

const AFTERWARDS: Readonly<Record<keyof Patience, string>> = {
  read: "It is asked again by itself.",
  change: "It may have been done all the same: look before you try again.",
};

function tooLate(kind: keyof Patience, milliseconds: number): Problem {
  const time = count(Math.ceil(milliseconds / 1000), "second");
  return new Problem(
    0,
    "too_late",
    "No answer",
    `Airflow's API server has not answered within ${time}. ${AFTERWARDS[kind]}`,
  );
}

async function bodyOf(response: Response): Promise<unknown> {
  if (response.status === 204) return undefined;
  try {
    return await response.json();
  } catch (error) {
    if (isAborted(error)) throw error;
    throw notTheApi(response);
  }
}

function isAborted(error: unknown): boolean {
  return (error as Partial<Error> | undefined)?.name === "AbortError";
}

/** Airflow says so itself; what stands before it leads away to its own log-in. */
function isLoggedOut({ type, status }: Response): boolean {
  return status === 401 || type === "opaqueredirect" || (status >= 300 && status < 400);
}

function loggedOut(): Problem {
  const said = "Your session at Airflow has ended. Log in again, here or in another window: then this page goes on.";
  return new Problem(401, "logged_out", "You are logged out", said);
}

async function problemOf(response: Response): Promise<Problem> {
  if (response.headers.get("Content-Type")?.includes("json")) {
    const said: unknown = await response.json().catch(() => undefined);
    if (said && typeof said === "object") {
      const { code, title, detail } = said as Record<string, unknown>;
      const words = typeof detail === "string" ? detail : `The API answered with status ${response.status}.`;
      return new Problem(response.status, String(code ?? "unknown"), String(title ?? response.statusText), words);
    }
  }
  return notTheApi(response);
}

function notTheApi(response: Response): Problem {
  const said = `Something else than the API of airflow-edge answered (status ${response.status}); a proxy in between may have. Look at what stands before Airflow.`;
  return new Problem(response.status, "unknown", response.statusText || "Unknown answer", said);
}

export const api = new Api();
