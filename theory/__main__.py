"""``python -m theory`` is ``tnattn``."""

from theory.cli import main

if __name__ == "__main__":
    main()
