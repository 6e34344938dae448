/** The same as `malformed_test.ts` at full counts; takes minutes. */
import { checkFormats } from "./malformed_checks.ts";

checkFormats({ count: 20_000, seed: 12 });
