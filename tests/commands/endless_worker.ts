/** A Worker whose mode never returns. */
globalThis.onmessage = () => {
  for (;;);
};
