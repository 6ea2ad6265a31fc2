"""One module a subject: `judge(pixels)` reads the colours and shapes that its drawings use."""
