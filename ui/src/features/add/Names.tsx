import { Fragment } from "react";

/** Names with commas between; each reads in its own direction, and does not turn what stands beside it. */
export function Names({ names }: { names: readonly string[] }) {
  return names.map((name, index) => (
    <Fragment key={name}>
      {index > 0 && ", "}
      <bdi>{name}</bdi>
    </Fragment>
  ));
}
