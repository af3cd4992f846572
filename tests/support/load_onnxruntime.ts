/**
 * Opens ONNX Runtime's library before any test. It stays open until the process ends, so that the first test
 * of a process to need it would seem to leave it behind.
 */

import { openApi } from "../../ort/runtime/api.ts";
import { findLibrary } from "../../ort/runtime/library.ts";

openApi(findLibrary());
