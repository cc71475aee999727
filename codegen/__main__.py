"""``python -m codegen`` is the command ``cellwright``."""

from codegen.cli import main

if __name__ == "__main__":
    main()
