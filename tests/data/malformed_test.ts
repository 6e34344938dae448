import { checkFormats } from "./malformed_checks.ts";

checkFormats({ count: 200, seed: 11 });
