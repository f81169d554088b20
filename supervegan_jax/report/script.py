"""What moves on the page: the dividers. Without scripts all pictures stand side by side."""

from typing import Final

SCRIPT: Final = """
document.documentElement.classList.add('js');
addEventListener('DOMContentLoaded', () => {
  for (const shot of document.querySelectorAll('.shot')) {
    const area = shot.querySelector('.views'), range = shot.querySelector('input');
    const [left, right] = shot.querySelectorAll('select');
    const views = [...area.querySelectorAll('.view')];
    const [first, second] = area.querySelectorAll('.tag');
    area.style.aspectRatio = area.dataset.ratio;
    const name = select => select.selectedOptions[0].textContent;
    const choose = () => {
      views.forEach((view, index) => {
        view.classList.toggle('on', index == left.value || index == right.value);
        view.classList.toggle('before', index == left.value && left.value != right.value);
      });
      first.textContent = name(left);
      second.textContent = name(right);
      move();
    };
    const move = () => {
      area.style.setProperty('--at', range.value + '%');
      range.setAttribute('aria-valuetext',
        range.value + ' percent ' + name(left) + ', the rest ' + name(right));
    };
    const drag = event => {
      const box = area.getBoundingClientRect();
      range.value = 100 * (event.clientX - box.left) / box.width;
      move();
    };
    left.addEventListener('change', choose);
    right.addEventListener('change', choose);
    range.addEventListener('input', move);
    area.addEventListener('pointerdown', event => {
      area.setPointerCapture(event.pointerId);
      drag(event);
    });
    area.addEventListener('pointermove', event => {
      if (area.hasPointerCapture(event.pointerId)) drag(event);
    });
    choose();
  }
});
"""
