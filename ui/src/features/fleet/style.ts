/** The style sheet of the table of workers: one for all its cells, which are plain elements. */
import type { SystemStyleObject } from "@chakra-ui/react";
import type { Tone } from "../../ui/Status.tsx";

const NARROW = "@container fleet (max-width: 46rem)";
/** Wide enough for all columns: then the head stays while the rows go by. */
const WIDE = "@container fleet (min-width: 80rem)";

/** The same marks as in `ui/Status.tsx`, without an element of their own. */
const MARKS: Record<Tone, SystemStyleObject> = {
  good: { bg: "green.fg", rounded: "full" },
  busy: { bg: "blue.fg", rounded: "2px" },
  warning: { bg: "warning.fg", clipPath: "polygon(50% 0, 100% 95%, 0 95%)", boxSize: "0.7em" },
  bad: {
    bg: "red.fg",
    clipPath:
      "polygon(18% 0, 50% 32%, 82% 0, 100% 18%, 68% 50%, 100% 82%, 82% 100%, 50% 68%, 18% 100%, 0 82%, 32% 50%, 0 18%)",
  },
  paused: {
    bg: "linear-gradient(90deg, currentColor 0 36%, transparent 36% 64%, currentColor 64%)",
    color: "gray.fg",
  },
  quiet: { borderWidth: "1.5px", borderColor: "gray.fg", rounded: "full" },
};
const marks = Object.fromEntries(
  Object.entries(MARKS).map(([tone, mark]) => [`& .fact[data-tone=${tone}]::before`, mark]),
);

export const AROUND: SystemStyleObject = {
  overflowX: "auto",
  borderWidth: 1,
  borderColor: "border",
  rounded: "md",
  [WIDE]: { overflowX: "visible" },
  [NARROW]: { borderWidth: 0, overflowX: "visible" },
};

export const TABLE: SystemStyleObject = {
  width: "100%",
  fontSize: "sm",
  lineHeight: "1.25rem",
  borderCollapse: "separate",
  borderSpacing: 0,

  "& th, & td": { px: 2, py: 2, textAlign: "start", verticalAlign: "top", borderBottomWidth: 1, borderColor: "border" },
  "& tr:last-of-type > *": { borderBottomWidth: 0 },
  "& thead th": {
    fontWeight: "medium",
    color: "fg.muted",
    whiteSpace: "nowrap",
    bg: "bg.subtle",
    borderBottomWidth: "1px !important",
    position: "sticky",
    top: 0,
    zIndex: 1,
  },
  "& thead button": { font: "inherit", color: "inherit", cursor: "pointer", _hover: { color: "fg" } },
  "& thead th[aria-sort=ascending], & thead th[aria-sort=descending]": { color: "fg" },
  "& tbody tr:hover > *": { bg: "bg.subtle" },
  "& tbody tr[data-chosen] > *": { bg: "bg.muted" },
  "& tbody th": { fontWeight: "normal", minW: "8rem", maxW: "14rem", overflowWrap: "anywhere" },
  "& tbody th a": { fontWeight: "semibold" },
  "& a": {
    color: "fg",
    textDecoration: "underline",
    textDecorationColor: "border.emphasized",
    textUnderlineOffset: "3px",
  },
  "& a:hover": { textDecorationColor: "fg" },

  "& .fact": { display: "inline-flex", alignItems: "center", gap: 1.5, whiteSpace: "nowrap" },
  "& .fact::before": { content: '""', boxSize: "0.6em", flexShrink: 0 },
  ...marks,
  "& .more": { display: "block", color: "fg.muted", fontSize: "xs", lineHeight: "1.125rem" },
  "& .host": { overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap" },
  "& .whole": { whiteSpace: "nowrap" },
  "& .muted": { color: "fg.muted" },
  "& .line": { display: "flex", gap: 2, maxW: "17rem" },
  "& .cut": { overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap" },
  "& .clamp": { lineClamp: 2, maxW: "15rem", overflowWrap: "anywhere" },
  // Whoever runs the eye down the table sees where something is the matter.
  "& tr[data-severity=error] > .first": { boxShadow: "inset 3px 0 var(--chakra-colors-red-solid)" },
  "& tr[data-severity=warning] > .first": { boxShadow: "inset 3px 0 var(--chakra-colors-warning-solid)" },
  "& .pair": { display: "flex", justifyContent: "space-between", gap: 2, minW: "6.5rem" },
  "& .count": { fontVariantNumeric: "tabular-nums", whiteSpace: "nowrap" },
  "& .count[data-high]": { fontWeight: "semibold", color: "warning.fg" },
  "& .bar": { display: "block", h: 1.5, mt: 1, rounded: "full", bg: "bg.emphasized", overflow: "hidden" },
  "& .bar > span": { display: "block", h: "100%", bg: "blue.solid" },
  "& .bar[data-full] > span": { bg: "warning.solid" },
  "& .spark": {
    display: "block",
    w: "3.5rem",
    h: "1rem",
    mt: 0.5,
    bg: "bg.muted",
    rounded: "2px",
    fill: "none",
    stroke: "fg.muted",
    strokeWidth: 1.5,
    strokeLinecap: "round",
  },
  "& .spark[data-high]": { stroke: "warning.solid" },
  "& .choose": { w: 8 },
  "& .choose input": {
    boxSize: 4,
    cursor: "pointer",
    accentColor: "var(--chakra-colors-brand-solid)",
    verticalAlign: "-2px",
  },

  // A card for each worker where a table would be a keyhole.
  [NARROW]: {
    display: "block",
    "& thead": { position: "absolute", boxSize: "1px", overflow: "hidden", clipPath: "inset(50%)" },
    "& tbody": { display: "block" },
    "& tbody tr": {
      display: "grid",
      gridTemplateColumns: "repeat(auto-fill, minmax(7rem, 1fr))",
      columnGap: 3,
      rowGap: 1,
      p: 3,
      mb: 3,
      borderWidth: 1,
      borderColor: "border",
      rounded: "md",
      position: "relative",
    },
    "& tbody tr > *": { display: "block", p: "0 !important", borderWidth: 0, minW: 0, maxW: "none" },
    "& tbody tr:hover > *": { bg: "transparent" },
    "& tbody th, & tbody td[data-wide]": { gridColumn: "1 / -1" },
    "& tbody td[data-label]::before": {
      content: "attr(data-label)",
      display: "block",
      fontSize: "xs",
      lineHeight: "1.125rem",
      color: "fg.muted",
    },
    "& tbody td[data-empty]": { display: "none" },
    "& tbody .choose": { position: "absolute", top: 2, insetEnd: 3, w: "auto" },
    "& .choose input": { boxSize: 5 },
  },
};
