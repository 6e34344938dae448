/** What must be set in the environment before WebGPU is first asked for. */

/**
 * On Linux WebGPU would fall back to OpenGL silently, so only Vulkan is asked for; and software Vulkan
 * prints an error when it has no folder for its sockets, which it does not need here.
 */
export function preparePlatform(): void {
  if (Deno.build.os !== "linux") return;
  if (!Deno.env.get("DENO_WEBGPU_BACKEND")) Deno.env.set("DENO_WEBGPU_BACKEND", "vulkan");
  if (!Deno.env.get("XDG_RUNTIME_DIR")) Deno.env.set("XDG_RUNTIME_DIR", "/tmp");
}
