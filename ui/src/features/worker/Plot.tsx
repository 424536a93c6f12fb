/** One line over time, drawn by uPlot; in a part of its own, since only this view needs it. */
import { Box } from "@chakra-ui/react";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import style from "uplot/dist/uPlot.min.css?inline";
import { useZone } from "../../zone.ts";
import { alone } from "./ranges.ts";

type Props = {
  times: readonly number[];
  values: readonly (number | null)[];
  /** The whole line in a sentence. */
  label: string;
  format: (value: number) => string;
  /** What is at the top; with nothing given, the highest value. */
  most?: number | undefined;
  /** Jumps from one value to the next, as a number of things does. */
  steps?: boolean;
  /** Which value is pointed at, if one is; charts of the same `together` show the same time. */
  onPoint: (at: number | undefined) => void;
  together: string;
};

const HEIGHT = 120;
/** Between two lines of what is counted. */
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000];

export default function Plot({ times, values, label, format, most, steps = false, onPoint, together }: Props) {
  const zone = useZone();
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const point = useRef(onPoint);
  point.current = onPoint;
  const data = useRef<uPlot.AlignedData>([[], []]);
  data.current = [times as number[], values as (number | null)[]];

  useEffect(() => {
    const here = box.current;
    if (!here) return;
    withStyle();
    // Read whenever it is drawn: the page may turn dark.
    const colour = (name: string) => () => getComputedStyle(here).getPropertyValue(name);
    const axis: uPlot.Axis = {
      stroke: colour("--edge-words"),
      grid: { stroke: colour("--edge-grid"), width: 1 },
      ticks: { show: false },
      font: "11px sans-serif",
    };
    const drawn = new uPlot(
      {
        width: here.clientWidth,
        height: HEIGHT,
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
        padding: [8, 8, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 }, sync: { key: together } },
        scales: { y: { range: (_, __, highest) => [0, most ?? (Math.max(highest, steps ? 1 : 0) * 1.1 || 1)] } },
        axes: [
          { ...axis, size: 24, space: 70, values: (_, ticks) => clock(ticks, zone) },
          { ...axis, size: 58, space: 28, values: (_, ticks) => ticks.map(format), ...(steps && { incrs: WHOLE }) },
        ],
        series: [
          {},
          {
            stroke: colour("--edge-line"),
            fill: colour("--edge-area"),
            width: 1.5,
            points: { show: true, size: 5, fill: colour("--edge-line"), filter: (plot) => alone(plot.data[1] ?? []) },
            ...(steps && uPlot.paths.stepped && { paths: uPlot.paths.stepped({ align: 1 }) }),
          },
        ],
        hooks: { setCursor: [({ cursor: { idx } }) => point.current(idx ?? undefined)] },
      },
      data.current,
      here,
    );
    plot.current = drawn;
    const sized = new ResizeObserver(() => drawn.setSize({ width: here.clientWidth, height: HEIGHT }));
    sized.observe(here);
    const coloured = new MutationObserver(() => drawn.redraw(false));
    coloured.observe(document.documentElement, { attributeFilter: ["class", "data-theme"] });
    return () => {
      sized.disconnect();
      coloured.disconnect();
      drawn.destroy();
    };
  }, [format, most, steps, together, zone]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: what is drawn follows these
  useEffect(() => plot.current?.setData(data.current), [times, values]);

  return (
    <Box
      ref={box}
      role="img"
      aria-label={label}
      minW={0}
      overflow="hidden"
      css={{
        "--edge-line": "colors.blue.solid",
        "--edge-area": "colors.blue.subtle",
        "--edge-words": "colors.fg.muted",
        "--edge-grid": "colors.border.muted",
      }}
    />
  );
}

/** Write times as an operator reads them: 24 hours, and the day where there are several. */
function clock(ticks: readonly number[], timeZone: string): string[] {
  const long = (ticks.at(-1) ?? 0) - (ticks[0] ?? 0) > 86_400;
  return ticks.map((tick) =>
    new Date(tick * 1000).toLocaleString(
      "en-GB",
      long ? { timeZone, day: "numeric", month: "short" } : { timeZone, hour: "2-digit", minute: "2-digit" },
    ),
  );
}

function withStyle(): void {
  const id = "edge-uplot";
  if (document.getElementById(id)) return;
  const sheet = document.createElement("style");
  sheet.id = id;
  sheet.textContent = style;
  document.head.append(sheet);
}
