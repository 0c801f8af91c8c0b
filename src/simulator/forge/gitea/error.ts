import { ApiError } from "../api-error.ts";

export function notFound(): ApiError {
  return new ApiError(404, "The target couldn't be found.");
}

export function forbidden(message = "Only users with write access can do this"): ApiError {
  return new ApiError(403, message);
}

/** A request that makes no sense. */
export function unprocessable(message: string): ApiError {
  return new ApiError(422, message);
}
