/** What jsdom has not and Chakra asks for, and a clean table after each test. */
import { cleanup, configure } from "@testing-library/react";
import { afterEach } from "vitest";
import { queries } from "../src/api/query.ts";

// A busy machine is slow, not wrong.
configure({ asyncUtilTimeout: 20_000 });

if (typeof window !== "undefined") {
  window.ResizeObserver ??= class {
    observe() {}
    unobserve() {}
    disconnect() {}
  };
  window.matchMedia ??= (query: string) =>
    ({ matches: false, media: query, addEventListener() {}, removeEventListener() {} }) as unknown as MediaQueryList;
  Element.prototype.scrollTo ??= () => {};

  afterEach(() => {
    cleanup();
    queries.clear();
  });
}
