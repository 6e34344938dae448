import { checkFormats } from "./malformed_checks.ts";

checkFormats({ count: 600, seed: 11 });
