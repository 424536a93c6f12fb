/** The page is drawn when Airflow's has come to rest, so that nothing of it is lost that somebody has opened or typed. */
import { type ReactNode, startTransition, useEffect, useState } from "react";
import { useLocation, useNavigate } from "react-router-dom";

const settled = new Set<string>();

/**
 * Have the host draw its place for us once more before ours is shown.
 *
 * Airflow loads a plugin with `lazy` and takes the component itself as soon as it finds it in `globalThis`: the next time
 * that it draws the place, whatever for, all below is a new one. The first letter in a field that stands in the address
 * is enough for it. So the address is set to what it is: nothing changes but that this has happened.
 *
 * @param name the plugin's: each has its place
 */
export function Settled({ name, children }: { name: string; children: ReactNode }) {
  const [here, setHere] = useState(settled.has(name));
  const location = useLocation();
  const navigate = useNavigate();
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, with what holds then
  useEffect(() => {
    if (here) return;
    settled.add(name);
    void navigate(location, { replace: true, state: location.state, preventScrollReset: true });
    startTransition(() => setHere(true));
  }, []);
  return here ? children : null;
}
