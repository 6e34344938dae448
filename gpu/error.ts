/** Anything the GPU, its driver or its limits refuse. Ends the run with exit code 3. */
export class GpuError extends Error {
  override name = "GpuError";
}
