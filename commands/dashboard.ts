/** `--dashboard`: the live page of a training run. */
import type { Sink } from "../report/events.ts";
import { type LivePage, openLivePage } from "../report/live_page.ts";
import { UsageError } from "./exit_code.ts";
import { runName } from "./run_page.ts";
import type { RunOrder } from "./train_protocol.ts";

/** Where the page is served. */
export interface DashboardPlace {
  readonly host: string;
  /** Absent: the usual one, or where that is taken any. */
  readonly port?: number;
}

/** Tells a run to pause, go on, save or stop. */
type GiveOrder = (name: RunOrder | "stop") => void;

const USUAL_PORT = 8420;
const THIS_MACHINE = "127.0.0.1";

/**
 * The place that `--dashboard` and `--dashboard-host` ask for; undefined when neither is there.
 *
 * @throws UsageError when the port is none
 */
export function dashboardPlace(
  port: string | undefined,
  host: string | undefined,
): DashboardPlace | undefined {
  if (port === undefined && host === undefined) return undefined;
  if (host === "") {
    throw new UsageError("train: --dashboard-host needs an address, e.g. --dashboard-host 0.0.0.0");
  }
  if (!port) return { host: host ?? THIS_MACHINE };
  const number = Number(port);
  if (!/^\d+$/.test(port) || number > 65535) {
    throw new UsageError(`train: --dashboard ${JSON.stringify(port)} is no port from 0 to 65535`);
  }
  return { host: host ?? THIS_MACHINE, port: number };
}

/** The page of a run that is about to start. */
export interface Dashboard {
  readonly sink: Sink;
  readonly onStarted: (give: GiveOrder) => void;
  /** Tells viewers how the run ended. */
  end(code: number): Promise<void>;
}

/**
 * Serves the page and tells its link.
 *
 * @throws UsageError when it cannot be served there
 */
export function openDashboard(
  place: DashboardPlace,
  folder: string,
  tell: (text: string) => void,
): Dashboard {
  let give: GiveOrder = () => {};
  const page = open(place, folder, (order) => give(order));
  tell(`The run's page: ${page.url}`);
  if (place.host !== THIS_MACHINE) {
    tell("Whoever has this link may see the run and stop it; it is not encrypted on its way");
  }
  return {
    sink: page,
    onStarted: (started) => void (give = started),
    end: (code) => page.end(code === 0 ? "The run is finished" : `The run has ended (${code})`),
  };
}

function open(place: DashboardPlace, folder: string, order: GiveOrder): LivePage {
  const { host, port } = place;
  const at = (port: number) => openLivePage({ host, port, folder, name: runName(folder), order });
  try {
    if (port !== undefined) return at(port);
    try {
      return at(USUAL_PORT);
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) return at(0);
      throw error;
    }
  } catch (error) {
    throw cannotServe(host, port ?? USUAL_PORT, error);
  }
}

function cannotServe(host: string, port: number, error: unknown): unknown {
  const where = `Cannot serve the run's page on ${host}, port ${port}: `;
  if (error instanceof Deno.errors.AddrInUse) {
    return new UsageError(`${where}something else does; give --dashboard another port`);
  }
  if (error instanceof Deno.errors.NotCapable) {
    return new UsageError(
      `${where}the task "train" may use the network for this machine and 0.0.0.0 only; take one of ` +
        "these, or add the address to --allow-net in deno.json",
    );
  }
  if (
    error instanceof Deno.errors.AddrNotAvailable || error instanceof Deno.errors.PermissionDenied
  ) {
    return new UsageError(`${where}${error.message}`);
  }
  return error;
}
