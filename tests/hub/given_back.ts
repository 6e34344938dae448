/** A process of its own for `given_back_test.ts`: prints what it may reach before and after giving back. */
import { giveBackHub } from "../../commands/hub_inputs.ts";

const [environment, ...hosts] = Deno.args;
const env: Record<string, string> = JSON.parse(environment);
const states = () =>
  hosts.filter((host) => Deno.permissions.querySync({ name: "net", host }).state === "granted");
const before = states();
giveBackHub((name) => env[name]);
console.log(JSON.stringify([before, states()]));
