/** What tests of views need beside `build/testing.tsx`: answers by route, and the address that a view leads to. */
import type { RenderResult } from "@testing-library/react";
import type { ReactNode } from "react";
import { useLocation } from "react-router-dom";
import { type Asked, draw, serve } from "../../build/testing.tsx";

export const MAY = { read: true, change: true, missing: "", teams: null, multi_team: false, user: "ada" };

/** Find what reads so as a whole, whatever it is made of. */
export function reading(words: string): (_: string, element: Element | null) => boolean {
  return (_, element) => element?.textContent === words;
}

/** A refusal, as the API words it. */
export class Refusal {
  constructor(
    readonly status: number,
    readonly detail: string,
  ) {}
}

/** Answer `GET /queues`, `POST /queues/pause`, …: a body, a `Refusal`, or a function of what was asked. Gives all that was. */
export function answering(answers: Record<string, unknown>): Promise<Asked[]> {
  const all: Record<string, unknown> = { "GET /permissions": MAY, ...answers };
  return serve((asked) => {
    const route = all[`${asked.method} ${decodeURIComponent(asked.path)}`];
    const body = typeof route === "function" ? route(asked) : route;
    if (body === undefined) return undefined;
    if (!(body instanceof Refusal)) return { body };
    const { status, detail } = body;
    return { status, body: { status, code: "refused", title: "Refused", detail } };
  });
}

/** Draw a view at an address of the page; `address()` says where the reader is. */
export function show(view: ReactNode, at: string, route: string): RenderResult & { address: () => string } {
  const shown = draw(
    <>
      {view}
      <Address />
    </>,
    { at: `/plugin/edge/${at}`, route: `/plugin/edge/${route}` },
  );
  return { ...shown, address: () => shown.getByTestId("address").textContent ?? "" };
}

function Address() {
  const { pathname, search } = useLocation();
  return <output data-testid="address">{pathname + search}</output>;
}
