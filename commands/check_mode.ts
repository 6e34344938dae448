/** `check-mode`: runs the contract suite on one loss mode and says in words what is wrong. */
import { parseArgs } from "@std/cli/parse-args";
import type { CheckAnswer } from "./check_mode_worker.ts";
import { UsageError } from "./exit_code.ts";

const HELP =
  `Checks one loss mode against the contract: options, state, derivatives, evaluation, extremes.

  deno task check-mode NAME

NAME the file modes/NAME.ts; nothing outside it is changed. Exit code 0: nothing wrong, 2: something`;

const WORKER = new URL("./check_mode_worker.ts", import.meta.url);
/** The suite takes well under a second. */
const PATIENCE_SECONDS = 30;

/**
 * The answer of a Worker that checks a mode. The mode's code runs there, because a function that never
 * returns can only be stopped from outside.
 *
 * @param seconds time after which the Worker is stopped and the answer is that it did not end
 */
export async function checkInWorker(
  name: string,
  { seconds = PATIENCE_SECONDS, url = WORKER } = {},
): Promise<CheckAnswer> {
  const worker = new Worker(url, { type: "module" });
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    return await new Promise<CheckAnswer>((resolve, reject) => {
      timer = setTimeout(
        () =>
          resolve({
            faults: 1,
            text:
              `the check did not end within ${seconds} seconds: a function of "modes/${name}.ts" ` +
              "does not return; look for a loop without an end",
          }),
        1000 * seconds,
      );
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
      worker.postMessage(name);
    });
  } finally {
    clearTimeout(timer);
    worker.terminate();
  }
}

/** Runs the command; returns the exit code. */
export async function run(args: string[]): Promise<number> {
  const options = parseArgs(args, {
    boolean: ["help"],
    alias: { h: "help" },
    unknown: (argument, key) => {
      if (key === undefined) return;
      throw new UsageError(`check-mode: unknown option "${argument}"`);
    },
  });
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  if (options._.length !== 1) {
    throw new UsageError("check-mode: give one name, as in: deno task check-mode my_mode");
  }
  const name = String(options._[0]);
  const { faults, text } = await checkInWorker(name);
  if (faults === 0) console.log(text);
  else console.error(`Error: ${text}`);
  return faults === 0 ? 0 : 2;
}
