/** What tests of views stand on: the libraries that Airflow shares otherwise, and an API that really answers, over HTTP. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { ChakraProvider, defaultSystem } from "@chakra-ui/react";
import { QueryClientProvider } from "@tanstack/react-query";
import { type RenderResult, render } from "@testing-library/react";
import type { ReactNode } from "react";
import { MemoryRouter, Route, Routes } from "react-router-dom";
import { onTestFinished } from "vitest";
import { api } from "../src/api/client.ts";
import { queries } from "../src/api/query.ts";

export type Asked = {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  body: unknown;
};
export type Given = { status?: number; headers?: Record<string, string>; body?: unknown };

/** Be the API: `answer` says what comes back, if anything ever does. Gives all that was asked so far; the page's `api` asks here from now on. */
export async function serve(answer: (asked: Asked) => Given | "never" | undefined): Promise<Asked[]> {
  const heard: Asked[] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    let sent = "";
    for await (const part of request) sent += String(part);
    const url = new URL(request.url ?? "/", "http://here");
    const body: unknown = sent ? JSON.parse(sent) : undefined;
    const asked: Asked = {
      method: request.method ?? "",
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body,
    };
    heard.push(asked);
    const none: Given = {
      status: 404,
      body: { code: "not_found", title: "Not found", detail: `Nothing at ${url.pathname}` },
    };
    const answered = answer(asked) ?? none;
    if (answered === "never") return;
    const { status = 200, headers = {}, body: given } = answered;
    // The test's window has an origin of its own.
    const origin = {
      "Access-Control-Allow-Origin": request.headers.origin ?? "*",
      "Access-Control-Expose-Headers": "*",
    };
    response.writeHead(status, { "Content-Type": "application/json", ...origin, ...headers });
    response.end(status === 304 ? undefined : JSON.stringify(given ?? null));
  };
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  api.base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return heard;
}

/** Draw a view as the page does; `route` is its pattern where it reads parameters, `at` the address. */
export function draw(view: ReactNode, { at = "/", route = "*" } = {}): RenderResult {
  return render(
    <ChakraProvider value={defaultSystem}>
      <QueryClientProvider client={queries}>
        <MemoryRouter initialEntries={[at]}>
          <Routes>
            <Route path={route} element={view} />
          </Routes>
        </MemoryRouter>
      </QueryClientProvider>
    </ChakraProvider>,
  );
}
